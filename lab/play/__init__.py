"""Be the cook: a learner decides what each step does. A round is a pure function of its orders and the choices."""
