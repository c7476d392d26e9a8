// Marks functions that host and GPU code share.
#pragma once
#ifdef __CUDACC__
#define ROOKERY_ANY_DEVICE __host__ __device__
#else
#define ROOKERY_ANY_DEVICE
#endif
