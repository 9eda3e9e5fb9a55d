"""What the engine found, as records with words; runs nothing."""
