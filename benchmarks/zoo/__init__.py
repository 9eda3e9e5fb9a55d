"""The zoo: takes small untrained networks of other people's libraries, judges layer, grid and maps independently of
seewhy; downloads nothing."""
