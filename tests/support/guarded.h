// A tensor with guard bands: what is written beside it is noticed.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "device/buffer.h"

namespace rk::test {

class Guarded {
 public:
  Guarded(DType dtype, Shape shape) {
    Tensor probe;
    probe.dtype = dtype;
    probe.shape = shape;
    buffer_ = Buffer(Device::cpu, probe.n_bytes() + 2 * kBand);
    std::memset(buffer_.data(), kPattern, buffer_.size());
    tensor_ = buffer_.tensor(dtype, shape, kBand);
  }
  Tensor tensor() const { return tensor_; }

  // Elements as doubles, whatever the type.
  std::vector<double> values() const {
    std::vector<double> x(static_cast<size_t>(tensor_.numel()));
    for (size_t i = 0; i < x.size(); ++i) x[i] = value(i);
    return x;
  }
  void fill(const std::vector<double>& x) {
    require(x.size() == static_cast<size_t>(tensor_.numel()), "one value per element");
    for (size_t i = 0; i < x.size(); ++i) set(i, x[i]);
  }
  bool same_bytes(const Guarded& other) const { return std::memcmp(tensor_.data, other.tensor_.data, tensor_.n_bytes()) == 0; }
  // Bytes that no one has written: NaN in every floating type.
  void poison() { std::memset(tensor_.data, 0xff, tensor_.n_bytes()); }

  void expect_guards(const std::string& name) const {
    const std::byte* end = buffer_.data() + kBand + tensor_.n_bytes();
    for (size_t i = 0; i < kBand; ++i) {
      ASSERT_EQ(buffer_.data()[i], std::byte{kPattern}) << name << ": written " << kBand - i << " bytes before its begin";
      ASSERT_EQ(end[i], std::byte{kPattern}) << name << ": written " << i << " bytes behind its end";
    }
  }

 private:
  static constexpr size_t kBand = 256;
  static constexpr int kPattern = 0xa5;

  double value(size_t i) const {
    switch (tensor_.dtype) {
      case DType::f64: return tensor_.as<double>()[i];
      case DType::f32: return static_cast<double>(tensor_.as<float>()[i]);
      case DType::bf16: return static_cast<double>(tensor_.as<bf16>()[i]);
      case DType::i32: return tensor_.as<int32_t>()[i];
      case DType::i64: return static_cast<double>(tensor_.as<int64_t>()[i]);
      default: require(false, "tests hold f64, f32, bf16, i32 and i64"); return 0;
    }
  }
  void set(size_t i, double x) {
    switch (tensor_.dtype) {
      case DType::f64: tensor_.as<double>()[i] = x; return;
      case DType::f32: tensor_.as<float>()[i] = static_cast<float>(x); return;
      case DType::bf16: tensor_.as<bf16>()[i] = bf16(static_cast<float>(x)); return;
      case DType::i32: tensor_.as<int32_t>()[i] = static_cast<int32_t>(x); return;
      case DType::i64: tensor_.as<int64_t>()[i] = static_cast<int64_t>(x); return;
      default: require(false, "tests hold f64, f32, bf16, i32 and i64");
    }
  }

  Buffer buffer_;
  Tensor tensor_;
};

}  // namespace rk::test
