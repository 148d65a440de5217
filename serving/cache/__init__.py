"""Where ranked lists are kept between requests."""
