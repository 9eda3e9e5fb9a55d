"""What keeps the project in order: writers of documentation, a fuzzer, interruptions."""
