// What a call has to know of its tensors, read through DLPack's exchange functions instead of one Python attribute
// after the other: of fourteen tensors in a microsecond or two.
//
// Source: DLPack 1.3, include/dlpack/dlpack.h (DLTensor, DLPackExchangeAPI), whose layout is stable within version 1.
#include <cstring>
#include <string>

#include "bindings/register.h"

namespace pinn {
namespace {

struct DlTensor {
  void* data;
  std::int32_t device_type;
  std::int32_t device_id;
  std::int32_t ndim;
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

struct DlExchange {
  std::uint32_t major, minor;
  void* previous;
  void* managed_tensor_allocator;
  void* managed_tensor_from_object;
  void* managed_tensor_to_object;
  int (*view_of_object)(void* object, DlTensor* view);  // borrows; may be null
  void* current_work_stream;
};

constexpr std::int32_t kDlCpu = 1;
constexpr std::uint8_t kDlFloat = 2;

bool contiguous(const DlTensor& view) {
  if (!view.strides) return true;
  std::int64_t expected = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    if (view.shape[i] != 1 && view.strides[i] != expected) return false;
    expected *= view.shape[i];
  }
  return true;
}

// The signature of a call, all that its checks look at, and the addresses; for contiguous floats in the CPU's memory.
class TensorReader {
 public:
  // types: the tensor type whose exchange functions serve, and those that hold tensors in the same way.
  explicit TensorReader(py::tuple types)
      : types_(std::move(types)), requires_grad_(py::str("requires_grad")), is_neg_(py::str("is_neg")) {
    const py::object api = py::getattr(types_[0], "__dlpack_c_exchange_api__", py::none());
    if (api.is_none()) return;
    void* found = PyCapsule_GetPointer(api.ptr(), "dlpack_exchange_api");
    if (!found) throw py::error_already_set();
    const auto* exchange = static_cast<const DlExchange*>(found);
    if (exchange->major == 1) view_of_object_ = exchange->view_of_object;
  }

  // Of tensors, lists or tuples of them, and None: (signature, addresses), a None's being 0; None where one of them is
  // something else.
  py::object read(const py::args& arguments) const {
    if (!view_of_object_) return py::none();
    std::string signature;
    signature.reserve(512);
    py::list addresses;
    for (py::handle argument : arguments) {
      if (PyList_CheckExact(argument.ptr()) || PyTuple_CheckExact(argument.ptr())) {
        const std::int64_t count = PySequence_Fast_GET_SIZE(argument.ptr());
        signature += 'L';
        append(signature, count);
        PyObject** items = PySequence_Fast_ITEMS(argument.ptr());
        for (std::int64_t i = 0; i < count; ++i)
          if (!add(items[i], signature, addresses)) return py::none();
      } else if (argument.is_none()) {
        signature += 'N';
        addresses.append(0);
      } else if (!add(argument, signature, addresses)) {
        return py::none();
      }
    }
    return py::make_tuple(py::bytes(signature), addresses);
  }

 private:
  static void append(std::string& signature, std::int64_t number) {
    char bytes[sizeof number];
    std::memcpy(bytes, &number, sizeof number);
    signature.append(bytes, sizeof number);
  }

  bool add(py::handle tensor, std::string& signature, py::list& addresses) const {
    bool known = false;
    for (py::handle type : types_) known = known || reinterpret_cast<PyObject*>(Py_TYPE(tensor.ptr())) == type.ptr();
    if (!known) return false;
    DlTensor view{};
    if (view_of_object_(tensor.ptr(), &view) != 0) {  // sparse, without storage: nothing to point at
      PyErr_Clear();
      return false;
    }
    const bool plain = view.device_type == kDlCpu && view.code == kDlFloat && view.lanes == 1 && contiguous(view);
    // The numbers of a lazy negative (the imaginary part of a conjugate) lie in memory with the other sign.
    if (!plain || truth(PyObject_CallMethodNoArgs(tensor.ptr(), is_neg_.ptr()))) return false;
    const bool differentiable = truth(PyObject_GetAttr(tensor.ptr(), requires_grad_.ptr()));
    signature += differentiable ? 'D' : 'T';
    signature += static_cast<char>(view.bits);
    signature += static_cast<char>(view.ndim);
    for (int i = 0; i < view.ndim; ++i) append(signature, view.shape[i]);
    addresses.append(reinterpret_cast<Address>(view.data) + view.byte_offset);
    return true;
  }

  static bool truth(PyObject* owned) {
    if (!owned) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(owned).ptr() == Py_True;
  }

  py::tuple types_;
  py::str requires_grad_, is_neg_;
  int (*view_of_object_)(void*, DlTensor*) = nullptr;
};

}  // namespace

void register_tensor_reader(py::module_& m) {
  py::class_<TensorReader>(m, "TensorReader").def(py::init<py::tuple>()).def("read", &TensorReader::read);
}

}  // namespace pinn
