"""Programs that stand for a network: exported, made faster, compared with it; knows no method."""
