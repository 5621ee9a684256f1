# Activations that are more than a comparison: over results that a cache still has, a vector of them at a time.
#
# exp(x) = 2^n exp(r): n is whole and |r| at most log(2) / 2, where Taylor's series of exp(r) - 1 soon ends below the
# last bit.

cdef double[ERFC_SIZE] ERFC
for _place, _number in enumerate(erfc.series(REAL_BYTES)):
    ERFC[_place] = _number

cdef inline vec at_least(vec v, REAL low) noexcept nogil:
    return -vatmost(-v, -low)

cdef inline vec magnitude(vec v) noexcept nogil:
    return vnonneg(v) + vnonneg(-v)

cdef inline vec whole(vec v) noexcept nogil:
    """The nearest whole number."""
    return (v + vset(MAGIC)) - vset(MAGIC)

cdef inline vec reduced_expm1(vec x, vec* n) noexcept nogil:
    """exp(r) - 1, and n."""
    cdef vec r, sum = vset(INVERSE_FACTORIALS[EXP_TERMS])
    cdef Py_ssize_t k
    n[0] = whole(x * vset(LOG2_E))
    r = x - n[0] * vset(LOG_2_HIGH) - n[0] * vset(LOG_2_LOW)
    for k in range(EXP_TERMS - 1, 0, -1):
        sum = sum * r + vset(INVERSE_FACTORIALS[k])
    return sum * r

cdef inline vec exp_of(vec x) noexcept nogil:
    cdef vec n, part
    x = at_least(vatmost(x, EXP_MOST), EXP_LEAST)
    x = reduced_expm1(x, &n) + vset(1)
    part = whole(n * vset(0.5))                          # 2^n itself may be no number of this size
    return x * vpower(part) * vpower(n - part)

cdef inline vec expm1_of(vec x) noexcept nogil:
    """Of what is far below the largest number's logarithm."""
    cdef vec n, scale, e = reduced_expm1(at_least(x, EXPM1_LEAST), &n)
    scale = vpower(n)
    return scale * e + (scale - vset(1))

cdef inline vec softplus(vec x) noexcept nogil:
    """max(x, 0) + log(1 + e), e = exp(-|x|): log(1 + e) = 2 artanh(z) = 2 (z + z^3 / 3 + z^5 / 5 ...), z <= 1 / 3."""
    cdef vec e = exp_of(-magnitude(x)), z = e / (e + vset(2)), sum = vset(0)
    cdef Py_ssize_t k
    for k in range(LOG_TERMS - 1, -1, -1):
        sum = sum * z * z + vset(<REAL>2 / (2 * k + 1))
    return vnonneg(x) + sum * z

cdef inline vec tail(vec x) noexcept nogil:
    """How probable it is that a standard normal number is beyond x >= 0: exp(-m^2) exp(m^2) erfc(m) / 2, the last two
    factors by Chebyshev's series in 2 / (2 + m) (cyconv/erfc.py), summed by Clenshaw's recurrence."""
    cdef vec m = x * vset(ROOT_HALF), b1 = vset(0), b2 = vset(0), b
    cdef vec u = (vset(2) / (vset(2) + vatmost(m, <REAL>ERFC[0])) - vset(<REAL>ERFC[1])) * vset(<REAL>ERFC[2])
    cdef Py_ssize_t k
    for k in range(<Py_ssize_t>ERFC[3], 0, -1):
        b = vset(<REAL>ERFC[4 + k]) + (u + u) * b1 - b2
        b2 = b1
        b1 = b
    return vset(0.5) * exp_of(-m * m) * (vset(<REAL>ERFC[4]) + u * b1 - b2)

cdef inline vec activation_of(int FUNCTION, vec x, REAL slope) noexcept nogil:
    cdef vec e
    if FUNCTION == SIGMOID:
        return vset(1) / (vset(1) + exp_of(-x))
    if FUNCTION == SILU:
        return x / (vset(1) + exp_of(-x))
    if FUNCTION == HARD_SIGMOID:
        return vatmost(vnonneg(x / vset(6) + vset(0.5)), 1)
    if FUNCTION == HARD_SILU:
        return x * vatmost(vnonneg(x / vset(6) + vset(0.5)), 1)
    if FUNCTION == TANH:
        e = expm1_of(at_least(vatmost(x, TANH_MOST), -TANH_MOST) * vset(2))
        return e / (e + vset(2))
    if FUNCTION == ELU:
        return vnonneg(x) + vset(slope) * expm1_of(vatmost(x, 0))
    if FUNCTION == SELU:
        return vset(1.0507009873554805) * (vnonneg(x) + vset(1.6732632423543772) * expm1_of(vatmost(x, 0)))
    if FUNCTION == EXPONENTIAL:
        return exp_of(x)
    if FUNCTION == SOFTPLUS:
        return softplus(x)
    if FUNCTION == LOG_SIGMOID:
        return -softplus(-x)
    if FUNCTION == SOFTSIGN:
        return x / (vset(1) + magnitude(x))
    if FUNCTION == HARD_TANH:
        return at_least(vatmost(x, 1), -1)
    if FUNCTION == MISH:                                 # tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2)
        e = exp_of(vatmost(x, EXP_MOST / 4))
        e = e * (e + vset(2))
        return x * (e / (e + vset(2)))
    e = magnitude(x)                                     # gelu; of infinity 0 is taken away, not infinity times 0
    return vnonneg(x) - vatmost(e, EXP_MOST) * tail(e)

cdef inline void each(int FUNCTION, REAL* y, Py_ssize_t count, REAL slope) noexcept nogil:
    cdef Py_ssize_t k = 0
    cdef REAL[LANES] rest
    while k + LANES <= count:
        vstore(y + k, activation_of(FUNCTION, vload(y + k), slope))
        k += LANES
    if k < count:                                        # as in a whole vector: a result's place changes no bit of it
        memset(rest, 0, sizeof(rest))
        memcpy(rest, y + k, (count - k) * sizeof(REAL))
        vstore(rest, activation_of(FUNCTION, vload(rest), slope))
        memcpy(y + k, rest, (count - k) * sizeof(REAL))

cdef void activate(int function, void* results, Py_ssize_t count, double alpha) noexcept nogil:
    """results <- function(results)."""
    cdef REAL* y = <REAL*>results
    cdef REAL slope = <REAL>alpha
    if function == SIGMOID: each(SIGMOID, y, count, slope)
    elif function == SILU: each(SILU, y, count, slope)
    elif function == HARD_SIGMOID: each(HARD_SIGMOID, y, count, slope)
    elif function == HARD_SILU: each(HARD_SILU, y, count, slope)
    elif function == TANH: each(TANH, y, count, slope)
    elif function == HARD_TANH: each(HARD_TANH, y, count, slope)
    elif function == ELU: each(ELU, y, count, slope)
    elif function == SELU: each(SELU, y, count, slope)
    elif function == EXPONENTIAL: each(EXPONENTIAL, y, count, slope)
    elif function == SOFTPLUS: each(SOFTPLUS, y, count, slope)
    elif function == LOG_SIGMOID: each(LOG_SIGMOID, y, count, slope)
    elif function == SOFTSIGN: each(SOFTSIGN, y, count, slope)
    elif function == MISH: each(MISH, y, count, slope)
    elif function == GELU: each(GELU, y, count, slope)
