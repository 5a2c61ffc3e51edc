"""Vowpal Wabbit's CB-ADF: trained by VW, served as a bilinear form."""
