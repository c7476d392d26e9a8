// Whether this build has the CUDA code of operators; dispatchers ask before they name it.
#pragma once
namespace rk {
#ifdef ROOKERY_CUDA
inline constexpr bool has_cuda = true;
#else
inline constexpr bool has_cuda = false;
#endif
}  // namespace rk
