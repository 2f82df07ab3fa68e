module script

go 1.21
