"""One file per way to reach a shopper; each turns a message into a provider's call and back into an outcome."""
