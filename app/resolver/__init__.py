"""Finding a holder: rank the candidates, probe them in parallel, judge their answers."""
