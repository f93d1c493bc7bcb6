"""The moving kitchen, wherever it is shown: events become motions, motions become pictures."""
