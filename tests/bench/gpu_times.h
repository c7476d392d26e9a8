// Times of calls on a GPU.
#pragma once
#include <algorithm>
#include <vector>

#include "device/gpu.h"

namespace rk::bench {

// Of f(), which queues work on the GPU's stream: the median of ten after three that warm up.
template <class F>
double median_ms(const Gpu& gpu, const F& f) {
  std::vector<double> ms;
  for (int i = 0; i < 13; ++i) {
    GpuEvent begin, end;
    begin.record(gpu);
    f();
    end.record(gpu);
    end.wait();
    if (i > 2) ms.push_back(end.ms_since(begin));
  }
  std::sort(ms.begin(), ms.end());
  return ms[ms.size() / 2];
}

}  // namespace rk::bench
