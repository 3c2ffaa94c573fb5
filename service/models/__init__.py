"""The command `rediffuse-priors`: brings priors into the models folder, and says what those that are there are."""
