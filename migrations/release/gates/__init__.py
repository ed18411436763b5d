"""What a wave has to prove. Every gate answers PASS, FAIL or UNKNOWN, with the figure it rests on."""
