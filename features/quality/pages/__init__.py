"""The pages that show quality: templates (`*.html.j2`), each beside the module that fills it."""
