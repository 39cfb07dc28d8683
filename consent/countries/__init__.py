"""Country rules as dated data: when, how often, from whom and with which words an offer may go to somebody."""
