"""Published scores, one CSV line each; read by `skybench.reported`, never mixed with ours."""
