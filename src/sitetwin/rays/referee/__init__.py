"""Other tracers as judges: Sionna RT and Wireless InSite."""
