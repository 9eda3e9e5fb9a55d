"""Mending: takes what an audit proved, gives a head, a projection or a penalty with which the cue no longer decides;
trains no network."""
