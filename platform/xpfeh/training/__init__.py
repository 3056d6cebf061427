"""UA-CSNet: the only room that imports Keras."""
