package circuits

// selfTestID is the SHA-256 of the compiled constraint system, checked whenever it is compiled.
const selfTestID = "c6adfb51ebe1e50220205cd331348fc01b59c78ae21e4fd9cd8a657a97f7a636"
