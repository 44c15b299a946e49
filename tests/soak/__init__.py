"""What the app costs and withstands: attacks with what each took (`attacks`), and a long run of everything at once."""
