"""Elementary functions without branches, so that the compiler vectorises them.

Each is a polynomial on a reduced argument. Their error, in units in the last
place against a longer arithmetic, is measured by tests/test_math.py: at most
2 ulp for exp and log, 3 for erf, softplus, sine and cosine, 5 for the others.
"""
from libc.math cimport INFINITY, NAN, copysign, copysignf, fabs, fabsf
from libc.string cimport memcpy

from fastmlp._kernels.records cimport real

cdef extern from *:
    """
    #ifdef __AMX_TILE__
    #define DIVIDER_IS_SLOW 1
    #else
    #define DIVIDER_IS_SLOW 0
    #endif
    """
    bint DIVIDER_IS_SLOW


cdef inline real absolute(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline real with_sign_of(real magnitude, real x) noexcept nogil:
    if real is float:
        return copysignf(magnitude, x)
    else:
        return copysign(magnitude, x)


cdef inline real round_to_integer(real x) noexcept nogil:
    """Nearest integer of |x| < 2²²: adding 1.5·2ᵖ pushes the fraction out."""
    if real is float:
        return (x + <float>12582912.0) - <float>12582912.0
    else:
        return (x + 6755399441055744.0) - 6755399441055744.0


cdef inline real power_of_two(real n) noexcept nogil:
    """2ⁿ of a whole n in the exponent's normal range, built from its bits."""
    cdef unsigned int bits_32
    cdef unsigned long long bits_64
    cdef real power
    if real is float:
        n = n + <float>12582912.0
        memcpy(&bits_32, &n, 4)
        bits_32 = (bits_32 + 127) << 23
        memcpy(&power, &bits_32, 4)
    else:
        n = n + 6755399441055744.0
        memcpy(&bits_64, &n, 8)
        bits_64 = (bits_64 + 1023) << 52
        memcpy(&power, &bits_64, 8)
    return power


cdef inline real reciprocal(real x) noexcept nogil:
    """1/x of a positive normal x, at 10³⁰ and beyond next to nothing, in multiply-adds.

    Its bits subtracted from a constant give 1/x to 5 %; each r + r(e + e²) with the error
    e = 1 − x r cubes what is left, the last r + r e squares it.
    """
    cdef unsigned int bits_32
    cdef unsigned long long bits_64
    cdef real r, e
    x = <real>1e30 if x > <real>1e30 else x
    if real is float:
        memcpy(&bits_32, &x, 4)
        bits_32 = 0x7ef311c7u - bits_32
        memcpy(&r, &bits_32, 4)
    else:
        memcpy(&bits_64, &x, 8)
        bits_64 = 0x7fde623822fc16e6u - bits_64
        memcpy(&r, &bits_64, 8)
        e = <real>1 - x * r
        r = r + r * (e + e * e)
    e = <real>1 - x * r
    r = r + r * (e + e * e)
    return r + r * (<real>1 - x * r)


cdef inline real divide(real a, real x) noexcept nogil:
    """a/x of a positive normal x, in a loop that also takes a root: on the processors with
    a matrix unit it would wait for the divider."""
    return a * reciprocal(x) if DIVIDER_IS_SLOW else a / x


cdef inline real expm1_reduced(real r) noexcept nogil:
    """eʳ − 1 for |r| ≤ ½ ln 2: Taylor's series until it is below half an ulp."""
    cdef real p
    if real is float:
        p = <float>(1. / 5040)
        p = p * r + <float>(1. / 720)
    else:
        p = 1. / 6227020800.
        p = p * r + 1. / 479001600
        p = p * r + 1. / 39916800
        p = p * r + 1. / 3628800
        p = p * r + 1. / 362880
        p = p * r + 1. / 40320
        p = p * r + 1. / 5040
        p = p * r + 1. / 720
    p = p * r + <real>(1. / 120)
    p = p * r + <real>(1. / 24)
    p = p * r + <real>(1. / 6)
    p = p * r + <real>0.5
    return p * (r * r) + r


cdef inline real halvings(real x) noexcept nogil:
    """The whole n for which x − n ln 2 is smallest."""
    return round_to_integer(x * <real>1.4426950408889634)


cdef inline real remainder(real x, real n) noexcept nogil:
    """x − n ln 2; ln 2 in two parts, the first short enough that n times it is exact."""
    if real is float:
        return (x - n * <float>0.693145751953125) - n * <float>1.4286068203094172e-06
    else:
        return (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10


cdef inline real exp(real x) noexcept nogil:
    """eˣ = 2ⁿ eʳ; the power in two factors, so that subnormal results are right."""
    cdef real n, half
    if real is float:
        x = <float>89 if x > <float>89 else x
        x = <float>-104 if x < <float>-104 else x
    else:
        x = 710. if x > 710. else x
        x = -746. if x < -746. else x
    n = halvings(x)
    half = round_to_integer(n * <real>0.5)
    return ((expm1_reduced(remainder(x, n)) + <real>1)
            * power_of_two(half) * power_of_two(n - half))


cdef inline real expm1_negative(real x) noexcept nogil:
    """eˣ − 1 for x ≤ 0, without cancellation: 2ⁿ(eʳ − 1) + (2ⁿ − 1)."""
    cdef real n, power
    x = <real>-60 if x < <real>-60 else x
    n = halvings(x)
    power = power_of_two(n)
    return power * expm1_reduced(remainder(x, n)) + (power - <real>1)


cdef inline real tanh(real x) noexcept nogil:
    """tanh x = −t/(t + 2) with t = e^(−2|x|) − 1, and the sign of x."""
    cdef real t = expm1_negative(<real>-2 * absolute(x))
    return with_sign_of(t / (t + <real>2), x)


cdef inline real sigmoid(real x) noexcept nogil:
    """1/(1 + e⁻ˣ); the exponential of −|x| only, which cannot overflow."""
    cdef real e = exp(-absolute(x))
    return (<real>1 if x >= 0 else e) / (<real>1 + e)


cdef inline real erf_centre(real x) noexcept nogil:
    """erf x for 0 ≤ x < ¾ (float), 1 3/16 (double): x + x P(x²).

    P is the minimax fit of erf(x)/x − 1 at these degrees (Remez's exchange in 60
    digits), for the error relative to erf: 2^−29.4 (float), 2^−56.5 (double).
    """
    cdef real p, z = x * x
    if real is float:
        p = <float>-0.0006749513612
        p = p * z + <float>0.005114345603
        p = p * z + <float>-0.02683462459
        p = p * z + <float>0.1128337657
        p = p * z + <float>-0.3761261876
        p = p * z + <float>0.1283791655
    else:
        p = 4.9301664535669244e-11
        p = p * z + -1.0661531601589435e-09
        p = p * z + 1.4442358711530557e-08
        p = p * z + -1.6311816516458436e-07
        p = p * z + 1.645664329105037e-06
        p = p * z + -1.4925267078720265e-05
        p = p * z + 0.00012055314506781754
        p = p * z + -0.0008548326424276532
        p = p * z + 0.005223977612924466
        p = p * z + -0.026866170643569495
        p = p * z + 0.11283791670944965
        p = p * z + -0.37612638903183493
        p = p * z + 0.12837916709551256
    return p * x + x


cdef inline real erf_tail(real x) noexcept nogil:
    """erf x = 1 − e^(−Q(x)) from there to 4 (float), 6 (double), where it rounds to 1.

    Q is the minimax fit of −ln erfc(x), made as P is, weighted by erfc/erf: for the
    error relative to erf, 2^−28.3 (float), 2^−55.7 (double). An error ε of Q, of its
    rounding too, shifts erf by erfc·ε only, and Q erfc falls from 0.36 at ¾.
    """
    cdef real q
    if real is float:
        q = <float>-0.0002131773186
        q = q * x + <float>0.003205819175
        q = q * x + <float>-0.02284846812
        q = q * x + <float>0.1051648369
        q = q * x + <float>0.6358415904
        q = q * x + <float>1.128433512
        q = q * x + <float>2.140737926e-05
    else:
        q = 1.9686356495260443e-10
        q = q * x + -7.847595541239444e-09
        q = q * x + 1.463619576561221e-07
        q = q * x + -1.6956216238520244e-06
        q = q * x + 1.3639677316354888e-05
        q = q * x + -8.0392587900361e-05
        q = q * x + 0.0003543660737738767
        q = q * x + -0.00114785075572746
        q = q * x + 0.002425279876214612
        q = q * x + -0.0009440738715255901
        q = q * x + -0.018565821926292848
        q = q * x + 0.10245576461594796
        q = q * x + 0.6367435923416884
        q = q * x + 1.1283491714292282
        q = q * x + 3.391972771636839e-06
    return -expm1_negative(-q)


cdef inline real erf(real x) noexcept nogil:
    """The error function of |x|, and the sign of x."""
    cdef real limit, seam, magnitude = absolute(x)
    if real is float:
        limit, seam = 4, <float>0.75
    else:
        limit, seam = 6, 1.1875
    magnitude = limit if magnitude > limit else magnitude
    return with_sign_of(
        erf_centre(magnitude) if magnitude < seam else erf_tail(magnitude), x)


cdef inline real sine_of_quarter(real u) noexcept nogil:
    """sin 2πu for |u| ≤ ¼, Taylor's series until it is below half an ulp; of what lies
    beyond, where a phase has no fraction left, that of the end."""
    cdef real p, z, rest
    u = <real>0.25 if u > <real>0.25 else u
    u = <real>-0.25 if u < <real>-0.25 else u
    z = u * u
    if real is float:
        p = <float>3.819952584848282
    else:
        p = 0.0011309237482517963
        p = p * z - 0.012031585942120627
        p = p * z + 0.10422916220813984
        p = p * z - 0.71812230177850056
        p = p * z + 3.819952584848282
    p = p * z - <real>15.09464257682299
    p = p * z + <real>42.058693944897655
    p = p * z - <real>76.705859753061389
    p = p * z + <real>81.605249276075057
    p = p * z - <real>41.341702240399762
    # What the type lacks of 2π is added before it.
    rest = <real>-1.7484555306e-7 if real is float else <real>2.4492935982947064e-16
    return (p * z + rest) * u + <real>6.2831853071795862 * u


cdef inline real cos_of_turns(real t) noexcept nogil:
    """cos 2πt: what is left of a whole turn is exact."""
    return sine_of_quarter(<real>0.25 - absolute(t - round_to_integer(t)))


cdef inline real sin_of_turns(real t) noexcept nogil:
    """sin 2πt."""
    cdef real r = t - round_to_integer(t), a = absolute(r)
    return with_sign_of(sine_of_quarter(<real>0.5 - a if a > <real>0.25 else a), r)


cdef inline real split_exponent(real x, real* mantissa) noexcept nogil:
    """e and m of a positive normal x = 2ᵉ m, with √½ ≤ m < √2."""
    cdef unsigned int bits_32, m_32, e_32
    cdef unsigned long long bits_64, m_64, e_64
    cdef real e
    if real is float:
        memcpy(&bits_32, &x, 4)
        bits_32 = bits_32 - 0x3f3504f3u + 0x3f800000u
        m_32 = (bits_32 & 0x007fffffu) + 0x3f3504f3u
        memcpy(mantissa, &m_32, 4)
        e_32 = (bits_32 >> 23) | 0x4b000000u
        memcpy(&e, &e_32, 4)
        return e - <float>8388735.0
    else:
        memcpy(&bits_64, &x, 8)
        bits_64 = bits_64 - 0x3fe6a09e667f3bcdu + 0x3ff0000000000000u
        m_64 = (bits_64 & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu
        memcpy(mantissa, &m_64, 8)
        e_64 = (bits_64 >> 52) | 0x4330000000000000u
        memcpy(&e, &e_64, 8)
        return e - 4503599627371519.0


cdef inline real atanh_series(real z) noexcept nogil:
    """Σ 2 zᵏ/(2k + 1), k ≥ 1, for 0 ≤ z ≤ 0.0295: the tail of log((1 + s)/(1 − s))."""
    cdef real p
    if real is float:
        p = <float>(2. / 11)
    else:
        p = 2. / 23
        p = p * z + 2. / 21
        p = p * z + 2. / 19
        p = p * z + 2. / 17
        p = p * z + 2. / 15
        p = p * z + 2. / 13
        p = p * z + 2. / 11
    p = p * z + <real>(2. / 9)
    p = p * z + <real>(2. / 7)
    p = p * z + <real>(2. / 5)
    p = p * z + <real>(2. / 3)
    return p * z


cdef inline real log_normal(real x) noexcept nogil:
    """ln x = e ln 2 + ln(1 + f), with s = f/(2 + f) and ln(1 + f) = f − s(f − Σ)."""
    cdef real m, f, s, e = split_exponent(x, &m)
    f = m - <real>1
    s = f / (<real>2 + f)
    f = f - s * (f - atanh_series(s * s))
    if real is float:
        return e * <float>0.693145751953125 + (f + e * <float>1.4286068203094172e-06)
    else:
        return e * 0.6931471803691238 + (f + e * 1.9082149292705877e-10)


cdef inline real log(real x) noexcept nogil:
    """Natural logarithm: −inf of 0, NaN below, subnormals scaled up first."""
    cdef real tiny, scale, shift, result
    if real is float:
        tiny, scale, shift = <float>1.1754943508222875e-38, <float>2.**25, <float>17.328679513998633
    else:
        tiny, scale, shift = 2.2250738585072014e-308, 2.**54, 37.42994775023705
    result = log_normal(x * (scale if x < tiny else <real>1))
    result = result - (shift if x < tiny else <real>0)
    result = x if x == <real>INFINITY else result
    result = -<real>INFINITY if x == 0 else result
    return result if x >= 0 else <real>NAN


cdef inline real log1p(real x) noexcept nogil:
    """ln(1 + x) for 0 ≤ x ≤ 1: the rounding of 1 + x is given back."""
    cdef real u = <real>1 + x
    return log_normal(u) + (x - (u - <real>1)) / u


cdef inline real softplus(real x) noexcept nogil:
    """ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|), which cannot overflow."""
    return (<real>0 if x < 0 else x) + log1p(exp(-absolute(x)))
