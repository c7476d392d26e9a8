// What the handlers of operators' cases share.
#pragma once
#include <list>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "support/on_device.h"

namespace rk::golden {

// A case's file, the operators' surroundings, and the tensors that live as long as the case.
class OpCase {
 public:
  OpCase(const Case& c, const Options& options, Check& check)
      : expected(c.path("expected.h5")), dtype(options.dtype), acc(acc_dtype(options.dtype)), check_(check), pool_(options.threads) {
    const Device device = options.gpu ? Device::cuda : Device::cpu;
    scratch_ = Arena(Buffer(device, size_t{256} << 20));
    ex_ = {.device = device, .pool = &pool_, .scratch = &scratch_, .gpu = options.gpu};
  }

  const Hdf5Reader expected;
  const DType dtype, acc;

  const Exec& ex() const { return ex_; }
  Tensor zeros(DType type, Shape shape) {
    Tensor t;
    t.dtype = type;
    t.shape = shape;
    return buffers_.emplace_back(ex_.device, t.n_bytes()).tensor(type, shape);
  }
  // A dataset as a tensor of up to four dimensions.
  Tensor load(const std::string& name, DType type) {
    check_.mark_read(name);
    const std::vector<int64_t> sizes = expected.info(name).shape;
    if (sizes.size() > 4) rk::fail(cat(name, " has more than four dimensions"));
    Shape shape;
    for (int64_t s : sizes) shape.size[static_cast<size_t>(shape.rank++)] = s;
    const Tensor t = zeros(type, shape);
    const Buffer staged(Device::cpu, t.n_bytes());
    expected.read(name, 0, t.numel(), type, staged.data());
    copy(ex_, staged.tensor(type, shape), t);
    return t;
  }
  void mark_read(const std::string& dataset) { check_.mark_read(dataset); }
  std::vector<double> values(const Tensor& t) const { return test::get_doubles(ex_, t); }
  std::vector<int64_t> ints(const std::string& name) {
    check_.mark_read(name);
    return expected.read_ints(name);
  }

 private:
  Check& check_;
  ThreadPool pool_;
  Arena scratch_;
  Exec ex_;
  std::list<Buffer> buffers_;
};

}  // namespace rk::golden
