"""The subcommands of ``datacut``, a module each: options in, typed errors out. No work is done here."""
