"""The longer steps of the panel of IntradiscalNav, one widget each: they show the logic and call it."""
