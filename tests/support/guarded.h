// A tensor with guard bands: what is written beside it is noticed.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "device/buffer.h"
#include "support/place.h"

namespace rk::test {

// In memory of the CPU or of a GPU. There it begins where a parameter inside a bucket may begin: behind 16 elements.
class Guarded {
 public:
  Guarded(DType dtype, Shape shape, Device device = Device::cpu) {
    Tensor probe;
    probe.dtype = dtype;
    probe.shape = shape;
    const size_t before = kBand + (device == Device::cuda ? 16 * size_of(dtype) : 0), n = before + probe.n_bytes() + kBand;
    host_ = Buffer(Device::cpu, n);
    std::memset(host_.data(), kPattern, n);
    image_ = host_.tensor(dtype, shape, before);
    tensor_ = image_;
    if (device == Device::cuda) {
      device_ = Buffer(device, n);
      tensor_ = device_.tensor(dtype, shape, before);
      upload();
    }
  }
  Tensor tensor() const { return tensor_; }

  // Elements as doubles, whatever the type.
  std::vector<double> values() const {
    download();
    std::vector<double> x(static_cast<size_t>(image_.numel()));
    for (size_t i = 0; i < x.size(); ++i) x[i] = value(i);
    return x;
  }
  void fill(const std::vector<double>& x) {
    require(x.size() == static_cast<size_t>(image_.numel()), "one value per element");
    download();
    for (size_t i = 0; i < x.size(); ++i) set(i, x[i]);
    upload();
  }
  bool same_bytes(const Guarded& other) const {
    download();
    other.download();
    return std::memcmp(image_.data, other.image_.data, image_.n_bytes()) == 0;
  }
  // Bytes that no one has written: NaN in every floating type.
  void poison() {
    download();
    std::memset(image_.data, 0xff, image_.n_bytes());
    upload();
  }

  void expect_guards(const std::string& name) const {
    download();
    const std::byte *begin = host_.data(), *first = static_cast<const std::byte*>(image_.data), *last = first + image_.n_bytes();
    for (const std::byte* p = begin; p < first; ++p)
      ASSERT_EQ(*p, std::byte{kPattern}) << name << ": written " << first - p << " bytes before its begin";
    for (const std::byte* p = last; p < begin + host_.size(); ++p)
      ASSERT_EQ(*p, std::byte{kPattern}) << name << ": written " << p - last << " bytes behind its end";
  }

 private:
  static constexpr size_t kBand = 256;
  static constexpr int kPattern = 0xa5;

  // Between the memory of a GPU and its image on the host, bands included.
  void upload() const {
    if (device_.data()) copy_now(bytes_of(host_), bytes_of(device_));
  }
  void download() const {
    if (device_.data()) copy_now(bytes_of(device_), bytes_of(host_));
  }
  static Tensor bytes_of(const Buffer& b) { return b.tensor(DType::u8, {static_cast<int64_t>(b.size())}); }

  f16* halves() const { return static_cast<f16*>(image_.data); }
  uint8_t* bytes() const { return static_cast<uint8_t*>(image_.data); }
  double value(size_t i) const {
    switch (image_.dtype) {
      case DType::f64: return image_.as<double>()[i];
      case DType::f32: return static_cast<double>(image_.as<float>()[i]);
      case DType::bf16: return static_cast<double>(image_.as<bf16>()[i]);
      case DType::f16: return static_cast<double>(to_float(halves()[i]));
      case DType::i32: return image_.as<int32_t>()[i];
      case DType::i64: return static_cast<double>(image_.as<int64_t>()[i]);
      case DType::u8: return static_cast<double>(bytes()[i]);
      default: require(false, "tests hold f64, f32, bf16, f16, i32, i64 and u8"); return 0;
    }
  }
  void set(size_t i, double x) {
    switch (image_.dtype) {
      case DType::f64: image_.as<double>()[i] = x; return;
      case DType::f32: image_.as<float>()[i] = static_cast<float>(x); return;
      case DType::bf16: image_.as<bf16>()[i] = bf16(static_cast<float>(x)); return;
      case DType::f16: halves()[i] = to_f16(static_cast<float>(x)); return;
      case DType::i32: image_.as<int32_t>()[i] = static_cast<int32_t>(x); return;
      case DType::i64: image_.as<int64_t>()[i] = static_cast<int64_t>(x); return;
      case DType::u8: bytes()[i] = static_cast<uint8_t>(x); return;
      default: require(false, "tests hold f64, f32, bf16, f16, i32, i64 and u8");
    }
  }

  Buffer host_, device_;
  Tensor image_, tensor_;
};

}  // namespace rk::test
