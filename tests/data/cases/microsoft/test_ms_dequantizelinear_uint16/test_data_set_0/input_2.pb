BzeroJ
¾{(L!Eô¼é#