"""What `planted.py` lets slip, kept apart so that no traceback or command line shows it."""

PHONE = "+33639980777"
TOKEN = "planted-token-0123456789"
TEXT = "fresh bread for who plants leaks"
LAT, LON = 48.8353123456, 2.2410654321
