"""Work mapped over processes of this machine or of a Ray cluster, in order, behind one call."""
