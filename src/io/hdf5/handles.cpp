#include "io/hdf5/handles.h"

#include <algorithm>
#include <cstdlib>

namespace rk::h5 {
namespace {

// The library is one per process, and so is its lock.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

bool start_library() {
  setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);  // read once, when the library starts
  // A file whose closing failed (full disk) is half gone, and the library's own end of a process would walk into it.
  if (H5dont_atexit() < 0) return false;
  return H5open() >= 0;
}

// sign 1 bit on top, then the exponent, then the mantissa.
Id small_float(size_t exponent_bits, size_t mantissa_bits, size_t bias) {
  Id t(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  const bool ok = t && H5Tset_fields(t.get(), 15, mantissa_bits, exponent_bits, 0, mantissa_bits) >= 0 && H5Tset_size(t.get(), 2) >= 0 &&
                  H5Tset_ebias(t.get(), bias) >= 0;
  require(ok, "HDF5 declares 16 bit floats");
  return t;
}

// As h5py stores numpy's bool.
Id bool_type() {
  Id t(H5Tenum_create(H5T_NATIVE_INT8), H5Tclose);
  const int8_t no = 0, yes = 1;
  require(t && H5Tenum_insert(t.get(), "FALSE", &no) >= 0 && H5Tenum_insert(t.get(), "TRUE", &yes) >= 0, "HDF5 declares bool");
  return t;
}

bool integer_dtype(hid_t type, DType& t) {
  const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
  switch (H5Tget_size(type)) {
    case 1: t = is_signed ? DType::i8 : DType::u8; return true;
    case 2: t = is_signed ? DType::i16 : DType::u16; return true;
    case 4: t = is_signed ? DType::i32 : DType::i64; return true;
    case 8: t = DType::i64; return true;
    default: return false;
  }
}

bool float_dtype(hid_t type, DType& t) {
  size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
  if (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) < 0) return false;
  if (mantissa_bits == 52 && exponent_bits == 11) return t = DType::f64, true;
  if (mantissa_bits == 23 && exponent_bits == 8) return t = DType::f32, true;
  if (mantissa_bits == 10 && exponent_bits == 5) return t = DType::f16, true;
  if (mantissa_bits == 7 && exponent_bits == 8) return t = DType::bf16, true;
  return false;
}

}  // namespace

Session::Session() : lock_(library_mutex()) {
  static const bool started = start_library();
  require(started, "the HDF5 library starts");
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // per thread in a thread-safe build
}

Id type_of(DType t) {
  switch (t) {
    case DType::f64: return Id(H5Tcopy(H5T_IEEE_F64LE), H5Tclose);
    case DType::f32: return Id(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
    case DType::bf16: return small_float(8, 7, 127);
    case DType::f16: return small_float(5, 10, 15);
    case DType::i64: return Id(H5Tcopy(H5T_STD_I64LE), H5Tclose);
    case DType::i32: return Id(H5Tcopy(H5T_STD_I32LE), H5Tclose);
    case DType::i16: return Id(H5Tcopy(H5T_STD_I16LE), H5Tclose);
    case DType::i8: return Id(H5Tcopy(H5T_STD_I8LE), H5Tclose);
    case DType::u8: return Id(H5Tcopy(H5T_STD_U8LE), H5Tclose);
    case DType::u16: return Id(H5Tcopy(H5T_STD_U16LE), H5Tclose);
    case DType::boolean: return bool_type();
  }
  return {};
}

bool dtype_from(hid_t type, DType& t) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER: return integer_dtype(type, t);
    case H5T_FLOAT: return float_dtype(type, t);
    case H5T_ENUM: return H5Tequal(type, bool_type().get()) > 0 ? (t = DType::boolean, true) : false;
    default: return false;
  }
}

std::vector<Box> boxes_of(const std::vector<int64_t>& shape, int64_t first, int64_t n) {
  const size_t rank = shape.size();
  std::vector<int64_t> inner(rank + 1, 1);  // elements of one step of dimension k - 1
  for (size_t k = rank; k-- > 0;) inner[k] = inner[k + 1] * shape[k];
  std::vector<Box> boxes;
  while (n > 0 && rank > 0) {
    // The outermost dimension along which whole steps can be taken from here.
    size_t k = 0;
    while (first % inner[k + 1] != 0 || inner[k + 1] > n) ++k;
    Box box;
    for (size_t d = 0; d < rank; ++d) {
      const int64_t at = first / inner[d + 1] % shape[d];
      box.start.push_back(static_cast<hsize_t>(at));
      const int64_t count = d < k ? 1 : d > k ? shape[d] : std::min(shape[d] - at, n / inner[d + 1]);
      box.count.push_back(static_cast<hsize_t>(count));
      if (d == k) box.n = count * inner[d + 1];
    }
    first += box.n;
    n -= box.n;
    boxes.push_back(std::move(box));
  }
  return boxes;
}

}  // namespace rk::h5
