"""Loading classifiers of any format, and predicting with them."""
