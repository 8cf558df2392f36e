BzeroJ
б
Mu	╓ЗаЭ