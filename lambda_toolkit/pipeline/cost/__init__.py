"""What a month on AWS costs: prices, what a month uses, and the bill. Pure, except that prices are read from a file."""
