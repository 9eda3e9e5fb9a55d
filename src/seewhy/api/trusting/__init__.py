"""How far to believe a map: takes a model, an image and anybody's map, gives a card with a level, a sentence and the
numbers behind them; makes no map but those that it compares with."""
