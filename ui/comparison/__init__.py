"""Comparisons of images and methods: the record, what its numbers say, how it is drawn, and how it is computed.

Everything but `running` is a pure function of a `Comparison`, which is plain data: the page, a shared link, the API
and the exported card draw the same record, so they cannot show different numbers.
"""
