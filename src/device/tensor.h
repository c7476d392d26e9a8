// A contiguous view of numbers somewhere: no ownership, passed by value.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/dtype.h"
#include "base/error.h"

namespace rk {

enum class Device : uint8_t { cpu, pinned, cuda };

// Up to four sizes, row-major; a tensor of rank 0 is one value.
struct Shape {
  std::array<int64_t, 4> size{1, 1, 1, 1};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) {
    require(sizes.size() <= 4, "a tensor has at most four dimensions");
    for (int64_t s : sizes) size[static_cast<size_t>(rank++)] = s;
  }
  int64_t operator[](int i) const { return size[static_cast<size_t>(i)]; }
  int64_t numel() const { return size[0] * size[1] * size[2] * size[3]; }
  bool operator==(const Shape&) const = default;
};

struct Tensor {
  void* data = nullptr;  // null: unbound, or a dry run
  Shape shape;
  DType dtype = DType::f32;
  Device device = Device::cpu;

  int64_t numel() const { return shape.numel(); }
  size_t n_bytes() const { return static_cast<size_t>(numel()) * size_of(dtype); }
  explicit operator bool() const { return data != nullptr; }

  // Typed access; the type must be the tensor's.
  template <class T>
  T* as() const {
    require(dtype_of<T> == dtype, "a tensor is read as the type it holds");
    return static_cast<T*>(data);
  }
  template <class T>
  std::span<T> span() const {
    return {as<T>(), static_cast<size_t>(numel())};
  }

  // The same elements under another shape.
  Tensor view(Shape s) const {
    require(s.numel() == numel(), "a view keeps the number of elements");
    Tensor t = *this;
    t.shape = s;
    return t;
  }
  // [n] elements from `offset` on, flat.
  Tensor slice(int64_t offset, int64_t n) const {
    require(offset >= 0 && n >= 0 && offset + n <= numel(), "a slice lies inside its tensor");
    Tensor t = *this;
    t.shape = {n};
    if (data) t.data = static_cast<std::byte*>(data) + static_cast<size_t>(offset) * size_of(dtype);
    return t;
  }
  // Rows [first, first + n) of a tensor seen as [rows, last dimension], flat shape [n, C].
  Tensor rows(int64_t first, int64_t n) const {
    const int64_t C = shape.rank ? shape[shape.rank - 1] : 1;
    return slice(first * C, n * C).view({n, C});
  }
};

}  // namespace rk
