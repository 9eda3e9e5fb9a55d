"""Looking inside a network: feature maps, factors, filters, feature visualisation."""
