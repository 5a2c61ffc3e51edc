"""Does the linear champion fail? A linear and a nonlinear model of the reward, each judged on rows it has not seen."""
