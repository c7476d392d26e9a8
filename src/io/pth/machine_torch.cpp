// What the allowed functions of torch and Python make of their arguments.
#include <algorithm>

#include "base/error.h"
#include "io/pth/machine.h"
#include "io/utf8.h"

namespace rk::pickle {

const Value& Machine::expect(Ref r, Kind kind, const char* what) const {
  const Value& v = object_.at(r);
  if (v.kind != kind) refuse(cat("something else stands where ", what, " should be"));
  return v;
}

int64_t Machine::integer(Ref r, const char* what) const { return expect(r, Kind::integer, what).integer; }
bool Machine::boolean(Ref r, const char* what) const { return expect(r, Kind::boolean, what).integer != 0; }

std::vector<int64_t> Machine::integers(Ref r, const char* what) const {
  expect(r, Kind::tuple, what);
  std::vector<int64_t> values;
  if (object_.items(r).size() > max_rank) refuse(cat("a tensor has more than ", max_rank, " dimensions"));
  for (Ref item : object_.items(r)) values.push_back(integer(item, what));
  return values;
}

void Machine::reduce() {
  const Ref arguments = pop(), function = pop();
  const Value& f = object_.at(function);
  if (f.kind != Kind::callable) refuse("something is called that is no function");
  expect(arguments, Kind::tuple, "the arguments of a call");
  // Copied: making values may move the table that holds them.
  const std::span<const Ref> items = object_.items(arguments);
  push(call(*globals_[f.n], std::vector<Ref>(items.begin(), items.end())));
}

Ref Machine::call(const Global& g, std::span<const Ref> a) {
  switch (g.function) {
    case Function::rebuild_tensor_v2:
    case Function::rebuild_tensor_v3: return call_tensor(g, a);
    case Function::rebuild_parameter: return call_parameter(a);
    case Function::ordered_dict: return call_ordered_dict(a);
    case Function::set: return call_set(a);
    case Function::device: return call_device(a);
    case Function::encode: return call_encode(a);
    case Function::size: {
      if (a.size() != 1) refuse("torch.Size with another number of arguments than one");
      integers(a[0], "the tuple of a torch.Size");
      return a[0];
    }
    default: refuse(cat(g.name, " is called, which is a name only"));
  }
}

Ref Machine::add_tensor(Tensor t) {
  if (object_.tensors.size() >= max_tensors) refuse(cat("it holds more than ", max_tensors, " tensors"));
  object_.tensors.push_back(std::move(t));
  return add(Value(Kind::tensor, false, object_.tensors.size() - 1));
}

// (storage, offset, size, stride, requires_grad, hooks[, metadata]); v3 has the dtype after the hooks.
Ref Machine::call_tensor(const Global& g, std::span<const Ref> a) {
  const bool v3 = g.function == Function::rebuild_tensor_v3;
  const size_t needed = v3 ? 7 : 6;
  if (a.size() != needed && a.size() != needed + 1) refuse(cat(g.name, " with ", a.size(), " arguments"));
  Tensor t;
  t.storage = expect(a[0], Kind::storage, "a tensor's storage").n;
  const Storage& s = object_.storages[t.storage];
  t.offset = integer(a[1], "a tensor's offset");
  t.shape = integers(a[2], "a tensor's size");
  t.stride = integers(a[3], "a tensor's stride");
  t.requires_grad = boolean(a[4], "requires_grad");
  if (v3) {
    const Global& dtype = *globals_[expect(a[6], Kind::dtype, "a tensor's dtype").n];
    if (!dtype.dtype) refuse(cat("a tensor has dtype ", dtype.name, ", which is not supported"));
    t.dtype = *dtype.dtype;
  } else {
    if (!s.dtype) refuse(cat("a tensor lies in a ", s.type, ", which is not supported"));
    t.dtype = *s.dtype;
  }
  check_view(t, s);
  return add_tensor(std::move(t));
}

// Every element must lie inside the storage; all arithmetic is checked.
void Machine::check_view(const Tensor& t, const Storage& s) const {
  if (t.shape.size() != t.stride.size()) refuse(cat("a tensor has ", t.shape.size(), " sizes and ", t.stride.size(), " strides"));
  if (t.offset < 0) refuse(cat("a tensor starts at element ", t.offset, " of its storage"));
  int64_t numel = 1, last = t.offset;
  bool empty = false, overflow = false;
  for (size_t k = 0; k < t.shape.size(); ++k) {
    if (t.shape[k] < 0 || t.stride[k] < 0) refuse(cat("a tensor has size ", t.shape[k], " and stride ", t.stride[k]));
    empty = empty || t.shape[k] == 0;
  }
  for (size_t k = 0; k < t.shape.size() && !empty; ++k) {
    int64_t reach = 0;
    overflow = overflow || __builtin_mul_overflow(numel, t.shape[k], &numel) ||
               __builtin_mul_overflow(t.shape[k] - 1, t.stride[k], &reach) || __builtin_add_overflow(last, reach, &last);
  }
  int64_t n_bytes = 0;
  if (overflow || __builtin_mul_overflow(numel, static_cast<int64_t>(size_of(t.dtype)), &n_bytes))
    refuse("the size of a tensor exceeds 64 bits");
  const int64_t element = s.untyped ? static_cast<int64_t>(size_of(t.dtype)) : 1;
  const int64_t available = s.numel / element;
  if (empty ? t.offset > available : last >= available)
    refuse(cat("a tensor reaches element ", last, " of a storage that holds ", available));
}

Ref Machine::call_parameter(std::span<const Ref> a) {
  if (a.size() != 3) refuse(cat("_rebuild_parameter with ", a.size(), " arguments"));
  Tensor t = object_.tensors[expect(a[0], Kind::tensor, "a parameter's tensor").n];
  t.requires_grad = boolean(a[1], "requires_grad");
  return add_tensor(std::move(t));
}

// Without arguments, or, as Python 2 wrote it, with a list of [key, value] lists.
Ref Machine::call_ordered_dict(std::span<const Ref> a) {
  if (a.size() > 1) refuse(cat("OrderedDict with ", a.size(), " arguments"));
  std::vector<Ref> pairs;
  if (a.size() == 1) {
    expect(a[0], Kind::list, "an OrderedDict's list of items");
    for (Ref item : object_.items(a[0])) {
      const Kind kind = object_.at(item).kind;
      if ((kind != Kind::list && kind != Kind::tuple) || object_.items(item).size() != 2) refuse("an item of an OrderedDict is no pair");
      for (Ref r : object_.items(item)) pairs.push_back(r);
    }
  }
  const Ref dict = add_container(Kind::ordered_dict);
  set_items(dict, pairs);
  return dict;
}

Ref Machine::call_set(std::span<const Ref> a) {
  if (a.size() > 1) refuse(cat("set with ", a.size(), " arguments"));
  const Ref set = add_container(Kind::set);
  if (a.empty()) return set;
  expect(a[0], Kind::list, "a set's list of elements");
  const std::span<const Ref> given = object_.items(a[0]);
  const std::vector<Ref> items(given.begin(), given.end());
  push(set);
  extend(Kind::set, "a set", items);
  return pop();
}

Ref Machine::call_device(std::span<const Ref> a) {
  if (a.empty() || a.size() > 2) refuse(cat("torch.device with ", a.size(), " arguments"));
  expect(a[0], Kind::text, "a device's type");
  std::string text = cat("device(type='", object_.text(a[0]), "'");
  if (a.size() == 2) text += cat(", index=", integer(a[1], "a device's index"));
  return add_owned_text(Kind::device, text + ")");
}

// How protocol 2 writes bytes: a text and the word latin1.
Ref Machine::call_encode(std::span<const Ref> a) {
  if (a.size() != 2) refuse(cat("_codecs.encode with ", a.size(), " arguments"));
  expect(a[0], Kind::text, "the text to encode");
  expect(a[1], Kind::text, "the name of an encoding");
  std::string bytes;
  if (object_.text(a[1]) != "latin1" || !latin1_from_utf8(object_.text(a[0]), bytes))
    refuse("_codecs.encode of something that is not latin1");
  return add_owned_text(Kind::bytes, std::move(bytes));
}

void Machine::persistent_id() {
  const Ref id = pop();
  expect(id, Kind::tuple, "a storage's description");
  const std::span<const Ref> items = object_.items(id);
  if (items.size() != (source_.layout == Layout::zip ? 5u : 6u)) refuse(cat("a storage is described by ", items.size(), " values"));
  expect(items[0], Kind::text, "the word storage");
  if (object_.text(items[0]) != "storage") refuse("a persistent id is not a storage");
  const Global& type = *globals_[expect(items[1], Kind::callable, "a storage's type").n];
  if (type.function != Function::storage && type.function != Function::untyped_storage) refuse(cat(type.name, " is no type of storage"));
  expect(items[2], Kind::text, "a storage's key");
  expect(items[3], Kind::text, "a storage's location");
  Storage s;
  s.key = object_.text(items[2]);
  s.type = type.name.data();
  s.untyped = type.function == Function::untyped_storage;
  s.dtype = type.dtype;
  s.element_bytes = type.element_bytes;
  s.numel = s.base_numel = integer(items[4], "a storage's size");
  int64_t n_bytes = 0;
  if (s.numel < 0 || __builtin_mul_overflow(s.numel, static_cast<int64_t>(s.element_bytes), &n_bytes))
    refuse(cat("a storage of ", s.numel, " elements"));
  if (items.size() == 6) view_of(s, items[5]);
  if (object_.storages.size() >= max_tensors) refuse(cat("it holds more than ", max_tensors, " storages"));
  object_.storages.push_back(s);
  push(add(Value(Kind::storage, false, object_.storages.size() - 1)));
}

// (key of the view, offset, size), or None.
void Machine::view_of(Storage& s, Ref view) const {
  if (object_.at(view).kind == Kind::none) return;
  expect(view, Kind::tuple, "a storage's view");
  const std::span<const Ref> items = object_.items(view);
  if (items.size() != 3) refuse(cat("a storage's view has ", items.size(), " values"));
  const int64_t offset = integer(items[1], "a view's offset"), n = integer(items[2], "a view's size");
  if (offset < 0 || n < 0 || offset > s.base_numel || n > s.base_numel - offset)
    refuse(cat("a view of ", n, " elements from ", offset, " on leaves its storage of ", s.base_numel));
  s.view_offset = offset;
  s.numel = n;
}

}  // namespace rk::pickle
