"""Results to pages: takes what any call has given, gives a report of it in one HTML file; computes no map."""
