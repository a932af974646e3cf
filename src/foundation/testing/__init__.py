"""What tests of distributed programs need: clusters simulated in one program, with a clock that a test turns."""
