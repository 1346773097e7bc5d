"""The study of codecs over time: leaves that fall and come back, users that walk and drive."""
