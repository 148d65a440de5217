"""The sample bookshop: books, customers and events that behave, with the truth behind them kept beside."""
