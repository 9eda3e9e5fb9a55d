"""What a user asks for: targets, parameters and what methods cannot know alone, checked before anything runs."""
