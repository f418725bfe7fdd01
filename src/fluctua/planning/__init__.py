"""Which learning rate, momentum, schedule and batch size; knows no run but those of a rehearsal."""
