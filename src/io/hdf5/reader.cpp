#include <algorithm>
#include <map>

#include "io/convert.h"
#include "io/hdf5/handles.h"
#include "io/hdf5/hdf5.h"

namespace rk {
namespace {

using h5::Id;

struct Found {
  DType dtype = DType::f32;
  bool numeric = false;
  std::vector<int64_t> shape;
};

std::vector<int64_t> shape_of(hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> dims(rank > 0 ? static_cast<size_t>(rank) : 0);
  if (rank > 0) H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  return {dims.begin(), dims.end()};
}

herr_t note_dataset(hid_t, const char* name, const H5O_info_t* info, void* list) {
  if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(list)->emplace_back(name);
  return 0;
}

// Stops a read whose unsigned 64 bit value does not fit the signed type it is handed out as.
H5T_conv_ret_t refuse_overflow(H5T_conv_except_t what, hid_t, hid_t, void*, void*, void*) {
  return what == H5T_CONV_EXCEPT_RANGE_HI ? H5T_CONV_ABORT : H5T_CONV_UNHANDLED;
}

std::string fixed_text(hid_t attribute, hid_t type) {
  std::string text(H5Tget_size(type), '\0');
  if (H5Aread(attribute, type, text.data()) < 0) return "";
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

std::string variable_text(hid_t attribute) {
  Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  Id stored(H5Aget_type(attribute), H5Tclose);
  H5Tset_cset(type.get(), H5Tget_cset(stored.get()));
  char* text = nullptr;
  if (H5Aread(attribute, type.get(), &text) < 0 || !text) return "";
  std::string copy = text;
  H5free_memory(text);
  return copy;
}

}  // namespace

struct Hdf5Reader::Impl {
  std::string path;
  Id file;
  std::map<std::string, Found> datasets;

  ~Impl() {
    h5::Session session;
    file.reset();
  }

  [[noreturn]] void refuse(const std::string& dataset, const std::string& why) const { fail(cat(path, ": dataset ", dataset, ": ", why)); }

  const Found& find(const std::string& dataset) const {
    const auto it = datasets.find(dataset);
    if (it == datasets.end()) fail(cat(path, " has no dataset ", dataset));
    return it->second;
  }

  void list() {
    std::vector<std::string> names;
    if (H5Ovisit2(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, note_dataset, &names, H5O_INFO_BASIC) < 0)
      fail(cat(path, " is damaged: its groups cannot be listed"));
    for (const std::string& name : names) {
      Id set(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
      if (!set) fail(cat(path, " is damaged: dataset ", name, " cannot be opened"));
      Id type(H5Dget_type(set.get()), H5Tclose), space(H5Dget_space(set.get()), H5Sclose);
      Found found;
      found.shape = shape_of(space.get());
      int64_t numel = 1;
      for (int64_t size : found.shape)
        if (__builtin_mul_overflow(numel, size, &numel)) refuse(name, "its size exceeds 64 bits");
      found.numeric = h5::dtype_from(type.get(), found.dtype) && H5Sget_simple_extent_type(space.get()) != H5S_NULL;
      datasets.emplace(name, std::move(found));
    }
  }

  // The attribute, or an empty Id where there is none.
  Id attribute(const std::string& object, const std::string& name) const {
    const char* at = object.empty() ? "." : object.c_str();
    if (H5Aexists_by_name(file.get(), at, name.c_str(), H5P_DEFAULT) <= 0) return {};
    return Id(H5Aopen_by_name(file.get(), at, name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  }

  void read_stored(const std::string& dataset, const Found& found, int64_t first, int64_t n, std::byte* out) const {
    Id set(H5Dopen2(file.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
    Id type = h5::type_of(found.dtype), space(H5Dget_space(set.get()), H5Sclose), how(H5Pcreate(H5P_DATASET_XFER), H5Pclose);
    H5Pset_type_conv_cb(how.get(), refuse_overflow, nullptr);
    auto read_box = [&](hid_t memory, hid_t part) {
      if (H5Dread(set.get(), type.get(), memory, part, how.get(), out) < 0)
        refuse(dataset,
               cat("elements ", first, " to ", first + n - 1, " cannot be read: the file is damaged, or a value exceeds 2^63 - 1"));
    };
    if (found.shape.empty()) return read_box(H5S_ALL, H5S_ALL);
    for (const h5::Box& box : h5::boxes_of(found.shape, first, n)) {
      H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, box.start.data(), nullptr, box.count.data(), nullptr);
      const auto count = static_cast<hsize_t>(box.n);
      Id memory(H5Screate_simple(1, &count, nullptr), H5Sclose);
      read_box(memory.get(), space.get());
      out += static_cast<size_t>(box.n) * size_of(found.dtype);
    }
  }
};

Hdf5Reader::Hdf5Reader(const std::string& path) : impl_(std::make_unique<Impl>()) {
  h5::Session session;
  impl_->path = path;
  const htri_t ok = H5Fis_hdf5(path.c_str());
  if (ok < 0) fail(cat("cannot open ", path, ": it does not exist or cannot be read"));
  if (ok == 0) fail(cat(path, " is not an HDF5 file, or was never completely written"));
  Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  impl_->file = Id(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (!impl_->file) fail(cat(path, " is a damaged or truncated HDF5 file: it cannot be opened"));
  impl_->list();
}
Hdf5Reader::Hdf5Reader(Hdf5Reader&&) noexcept = default;
Hdf5Reader& Hdf5Reader::operator=(Hdf5Reader&&) noexcept = default;
Hdf5Reader::~Hdf5Reader() = default;

std::vector<std::string> Hdf5Reader::datasets() const {
  std::vector<std::string> names;
  for (const auto& [name, found] : impl_->datasets) names.push_back(name);
  return names;
}

bool Hdf5Reader::has(const std::string& dataset) const { return impl_->datasets.count(dataset) > 0; }

TensorInfo Hdf5Reader::info(const std::string& dataset) const {
  const Found& found = impl_->find(dataset);
  if (!found.numeric) impl_->refuse(dataset, "its elements are no numbers of a known type");
  return {dataset, found.dtype, found.shape};
}

std::optional<uint64_t> Hdf5Reader::place(const std::string& dataset) const {
  const Found& found = impl_->find(dataset);
  h5::Session session;
  Id set(H5Dopen2(impl_->file.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
  Id stored(H5Dget_type(set.get()), H5Tclose), type = h5::type_of(found.dtype);
  const haddr_t place = H5Dget_offset(set.get());
  if (place == HADDR_UNDEF || H5Tequal(stored.get(), type.get()) <= 0) return std::nullopt;
  return place;
}

void Hdf5Reader::read(const std::string& dataset, int64_t first, int64_t n, DType as, void* destination) const {
  const TensorInfo t = info(dataset);
  if (first < 0 || n < 0 || first > t.numel() - n)
    impl_->refuse(dataset, cat("elements ", first, " to ", first + n, " were asked for, it has ", t.numel()));
  h5::Session session;
  const Found& found = impl_->find(dataset);
  if (n == 0) return;
  if (as == t.dtype) return impl_->read_stored(dataset, found, first, n, static_cast<std::byte*>(destination));
  constexpr int64_t block = int64_t{1} << 20;
  std::vector<std::byte> stored(static_cast<size_t>(std::min(n, block)) * size_of(t.dtype));
  for (int64_t i = 0; i < n; i += block) {
    const int64_t m = std::min(block, n - i);
    impl_->read_stored(dataset, found, first + i, m, stored.data());
    auto* out = static_cast<std::byte*>(destination) + static_cast<size_t>(i) * size_of(as);
    const int64_t done = convert_elements(t.dtype, stored.data(), as, out, m);
    if (done < m) impl_->refuse(dataset, cat("element ", first + i + done, " does not fit type ", name_of(as)));
  }
}

std::vector<double> Hdf5Reader::read_doubles(const std::string& dataset) const {
  std::vector<double> values(static_cast<size_t>(info(dataset).numel()));
  read(dataset, 0, static_cast<int64_t>(values.size()), DType::f64, values.data());
  return values;
}

std::vector<int64_t> Hdf5Reader::read_ints(const std::string& dataset) const {
  std::vector<int64_t> values(static_cast<size_t>(info(dataset).numel()));
  read(dataset, 0, static_cast<int64_t>(values.size()), DType::i64, values.data());
  return values;
}

std::optional<double> Hdf5Reader::number_attribute(const std::string& dataset, const std::string& name) const {
  h5::Session session;
  Id attribute = impl_->attribute(dataset, name);
  if (!attribute) return std::nullopt;
  Id space(H5Aget_space(attribute.get()), H5Sclose);
  double value = 0;
  if (H5Sget_simple_extent_npoints(space.get()) != 1 || H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, &value) < 0)
    impl_->refuse(dataset, cat("attribute ", name, " is not one number"));
  return value;
}

std::vector<int64_t> Hdf5Reader::ints_attribute(const std::string& dataset, const std::string& name) const {
  h5::Session session;
  Id attribute = impl_->attribute(dataset, name);
  if (!attribute) return {};
  Id space(H5Aget_space(attribute.get()), H5Sclose), type(H5Aget_type(attribute.get()), H5Tclose);
  std::vector<int64_t> values(static_cast<size_t>(std::max<hssize_t>(H5Sget_simple_extent_npoints(space.get()), 0)));
  if (H5Tget_class(type.get()) != H5T_INTEGER || H5Aread(attribute.get(), H5T_NATIVE_INT64, values.data()) < 0)
    impl_->refuse(dataset, cat("attribute ", name, " does not hold integers"));
  return values;
}

std::optional<std::string> Hdf5Reader::text_attribute(const std::string& object, const std::string& name) const {
  h5::Session session;
  Id attribute = impl_->attribute(object, name);
  if (!attribute) return std::nullopt;
  Id type(H5Aget_type(attribute.get()), H5Tclose), space(H5Aget_space(attribute.get()), H5Sclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Sget_simple_extent_npoints(space.get()) != 1)
    impl_->refuse(object.empty() ? "/" : object, cat("attribute ", name, " is not a text"));
  return H5Tis_variable_str(type.get()) > 0 ? variable_text(attribute.get()) : fixed_text(attribute.get(), type.get());
}

}  // namespace rk
