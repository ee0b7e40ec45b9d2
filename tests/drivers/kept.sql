SELECT * FROM warm.kept WHERE id = 1;
